/**
 * NVIDIA GPUs through JCuda: the driver's context, memory, kernels and cuBLAS, and every operation of an engine but the LSTM itself,
 * which the rooms {@code cudnn} and {@code fused} compute in two ways. Only this subtree imports {@code jcuda}.
 */
package carousel.engine.cuda;
