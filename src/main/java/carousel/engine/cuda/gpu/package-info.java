/** Each LSTM by cuDNN or by the project's own kernels, whichever is the faster. */
package carousel.engine.cuda.gpu;
