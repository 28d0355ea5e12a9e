// The forward pass of lstm_resident.cu with the product by the inputs in it, for narrow inputs: W lies in registers beside R, and W x + b is
// never written. C up to 32 or 64, where it finds room: not beside the R of 128 units. In a file of its own, which nobody translates who does not
// use it. R is packed by the kernels of lstm_resident.cu, and the way back is theirs. See lstm_resident.cuh for equations and launch.
//
// PTX for compute_80: products of 16 bits and of TF32 on tensor cores.
//
// Versions: lstm_resident_inputs_forward 1.
#include "lstm_resident.cuh"

CAROUSEL_UNIT(lstm_resident_inputs)

namespace carousel {

#define CAROUSEL_ONE_BLOCK(block, symbol, parameters) CAROUSEL_ENTRY(block, symbol, parameters)
#define CAROUSEL_WITH_INPUTS(name, ...) CAROUSEL_RESIDENT_INPUTS(CAROUSEL_ONE_BLOCK, lstm_resident, name, __VA_ARGS__)

CAROUSEL_WITH_INPUTS(bf16_h32_c32, Tensor<Bf16, 32, 1, 1, 1, false, 32>)
CAROUSEL_WITH_INPUTS(bf16_h64_c32, Tensor<Bf16, 64, 1, 1, 1, false, 32>)
CAROUSEL_WITH_INPUTS(bf16_h64_c64, Tensor<Bf16, 64, 1, 1, 1, false, 64>)
CAROUSEL_WITH_INPUTS(f16_h32_c32, Tensor<F16, 32, 1, 1, 1, false, 32>)
CAROUSEL_WITH_INPUTS(f16_h64_c32, Tensor<F16, 64, 1, 1, 1, false, 32>)
CAROUSEL_WITH_INPUTS(f16_h64_c64, Tensor<F16, 64, 1, 1, 1, false, 64>)
CAROUSEL_WITH_INPUTS(tf32_h32_c32, Tensor<Tf32, 32, 1, 1, 1, false, 32>)
CAROUSEL_WITH_INPUTS(tf32_h64_c32, Tensor<Tf32, 64, 1, 1, 1, false, 32>)

}  // namespace carousel
