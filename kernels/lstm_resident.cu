// An LSTM cell over all time steps with its recurrent weights in the registers of one block, which has a tile of sequences to itself: blocks
// never wait for each other. See lstm_resident.cuh for shapes, equations and launch. H up to 128 where operands have 16 bits, up to 64 where
// they have 32: R has to fit the 256 KB of registers of a multiprocessor beside everything else.
//
// PTX for compute_80: products of 16 bits and of TF32 on tensor cores.
//
// Versions: lstm_resident_forward 1, lstm_resident_backward 1.
#include "lstm_resident.cuh"

CAROUSEL_UNIT(lstm_resident)

namespace carousel {

#define CAROUSEL_ONE_BLOCK(block, symbol, parameters) CAROUSEL_ENTRY(block, symbol, parameters)
#define CAROUSEL_KERNEL_PAIR(name, ...) CAROUSEL_RESIDENT(CAROUSEL_ONE_BLOCK, lstm_resident, name, __VA_ARGS__)

CAROUSEL_KERNEL_PAIR(bf16_h32, Tensor<Bf16, 32, 1, 1, 1>)
CAROUSEL_KERNEL_PAIR(bf16_h64, Tensor<Bf16, 64, 1, 1, 1>)
CAROUSEL_KERNEL_PAIR(bf16_h128, Tensor<Bf16, 128, 1, 1, 1>)
CAROUSEL_KERNEL_PAIR(f16_h32, Tensor<F16, 32, 1, 1, 1>)
CAROUSEL_KERNEL_PAIR(f16_h64, Tensor<F16, 64, 1, 1, 1>)
CAROUSEL_KERNEL_PAIR(f16_h128, Tensor<F16, 128, 1, 1, 1>)
CAROUSEL_KERNEL_PAIR(tf32_h32, Tensor<Tf32, 32, 1, 1, 1>)
CAROUSEL_KERNEL_PAIR(tf32_h64, Tensor<Tf32, 64, 1, 1, 1>)
CAROUSEL_KERNEL_PAIR(f32_h32, Float<32, 1>)
CAROUSEL_KERNEL_PAIR(f32_h64, Float<64, 1>)

}  // namespace carousel
