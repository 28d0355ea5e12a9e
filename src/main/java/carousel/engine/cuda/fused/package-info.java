/** The LSTM by cuBLAS and the project's own kernels: one product a time step, and one kernel for all gates and the cell. */
package carousel.engine.cuda.fused;
