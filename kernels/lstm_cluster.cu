// An LSTM cell over all time steps with its recurrent weights in the registers of a cluster of blocks, which has a tile of sequences to
// itself; h and da go from block to block through distributed shared memory. See lstm_resident.cuh for shapes, equations and launch. H up to
// 128 on 4 blocks, 256 on 8, 512 on 16, which has to be allowed for the kernel.
//
// PTX for compute_90: clusters, st.async and barriers that count bytes.
//
// Versions: lstm_cluster_forward 1, lstm_cluster_backward 1.
#include "lstm_resident.cuh"

CAROUSEL_UNIT(lstm_cluster)

namespace carousel {

#define CAROUSEL_OF_4(block, symbol, parameters) CAROUSEL_CLUSTER_ENTRY(block, 4, symbol, parameters)
#define CAROUSEL_OF_8(block, symbol, parameters) CAROUSEL_CLUSTER_ENTRY(block, 8, symbol, parameters)
#define CAROUSEL_OF_16(block, symbol, parameters) CAROUSEL_CLUSTER_ENTRY(block, 16, symbol, parameters)

CAROUSEL_RESIDENT(CAROUSEL_OF_4, lstm_cluster, bf16_h128, Tensor<Bf16, 128, 4, 1, 1>)
CAROUSEL_RESIDENT(CAROUSEL_OF_8, lstm_cluster, bf16_h256, Tensor<Bf16, 256, 8, 1, 2>)
CAROUSEL_RESIDENT(CAROUSEL_OF_16, lstm_cluster, bf16_h512, Tensor<Bf16, 512, 16, 2, 4>)
CAROUSEL_RESIDENT(CAROUSEL_OF_4, lstm_cluster, f16_h128, Tensor<F16, 128, 4, 1, 1>)
CAROUSEL_RESIDENT(CAROUSEL_OF_8, lstm_cluster, f16_h256, Tensor<F16, 256, 8, 1, 2>)
CAROUSEL_RESIDENT(CAROUSEL_OF_16, lstm_cluster, f16_h512, Tensor<F16, 512, 16, 2, 4>)
CAROUSEL_RESIDENT(CAROUSEL_OF_4, lstm_cluster, tf32_h128, Tensor<Tf32, 128, 4, 1, 2>)
CAROUSEL_RESIDENT(CAROUSEL_OF_8, lstm_cluster, tf32_h256, Tensor<Tf32, 256, 8, 2, 4>)
CAROUSEL_RESIDENT(CAROUSEL_OF_4, lstm_cluster, f32_h128, Float<128, 4>)
CAROUSEL_RESIDENT(CAROUSEL_OF_8, lstm_cluster, f32_h256, Float<256, 8>)

}  // namespace carousel
