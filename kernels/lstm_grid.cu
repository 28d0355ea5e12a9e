// An LSTM cell over all time steps with its recurrent weights in the registers of many blocks, which share a tile of sequences; h and da go
// from block to block through global memory. See lstm_resident.cuh for shapes, equations and launch. H up to 512 on 32 blocks, and where operands
// have 16 bits 768 on 48, 1024 on 64.
//
// All blocks of a launch have to run at the same time: a cooperative launch, and as many tiles and directions as the GPU has room for, a block
// a multiprocessor. More tiles are more launches: `firstTile` is the tile that a launch begins with. `mail` has room for two matrices of
// operands for each tile and direction of the launch, 8 bytes a word (kRows kHidden words forward, kRows kGate backward), and is zeroed
// before every launch.
//
// PTX for compute_80: products of 16 bits and of TF32 on tensor cores.
//
// Versions: lstm_grid_forward 1, lstm_grid_backward 1.
#include "lstm_resident.cuh"

CAROUSEL_UNIT(lstm_grid)

namespace carousel {

#define CAROUSEL_GRID(name, ...) \
    CAROUSEL_RESIDENT_WITH(CAROUSEL_GRID_ENTRY, lstm_grid, name, (int firstTile, unsigned long long* mail), firstTile, mail, __VA_ARGS__)

CAROUSEL_GRID(bf16_h512, Tensor<Bf16, 512, 32, 2, 4, true>)
CAROUSEL_GRID(bf16_h768, Tensor<Bf16, 768, 48, 2, 4, true>)
CAROUSEL_GRID(bf16_h1024, Tensor<Bf16, 1024, 64, 2, 4, true>)
CAROUSEL_GRID(f16_h512, Tensor<F16, 512, 32, 2, 4, true>)
CAROUSEL_GRID(f16_h768, Tensor<F16, 768, 48, 2, 4, true>)
CAROUSEL_GRID(f16_h1024, Tensor<F16, 1024, 64, 2, 4, true>)
CAROUSEL_GRID(tf32_h512, Tensor<Tf32, 512, 32, 2, 4, true>)

}  // namespace carousel
