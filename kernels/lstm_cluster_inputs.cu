// The forward pass of lstm_cluster.cu with the product by the inputs in it, as lstm_resident_inputs.cu has it for one block: C up to 32 or 64, H up
// to 128.
//
// PTX for compute_90: clusters, st.async and barriers that count bytes.
//
// Versions: lstm_cluster_inputs_forward 1.
#include "lstm_resident.cuh"

CAROUSEL_UNIT(lstm_cluster_inputs)

namespace carousel {

#define CAROUSEL_OF_4(block, symbol, parameters) CAROUSEL_CLUSTER_ENTRY(block, 4, symbol, parameters)

CAROUSEL_RESIDENT_INPUTS(CAROUSEL_OF_4, lstm_cluster, bf16_h128_c32, Tensor<Bf16, 128, 4, 1, 1, false, 32>)
CAROUSEL_RESIDENT_INPUTS(CAROUSEL_OF_4, lstm_cluster, bf16_h128_c64, Tensor<Bf16, 128, 4, 1, 1, false, 64>)
CAROUSEL_RESIDENT_INPUTS(CAROUSEL_OF_4, lstm_cluster, f16_h128_c32, Tensor<F16, 128, 4, 1, 1, false, 32>)
CAROUSEL_RESIDENT_INPUTS(CAROUSEL_OF_4, lstm_cluster, f16_h128_c64, Tensor<F16, 128, 4, 1, 1, false, 64>)

}  // namespace carousel
