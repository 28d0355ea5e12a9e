/** The LSTM by cuDNN's RNN calls: a whole stack over a whole sequence in one call, or a layer a call where there is dropout. */
package carousel.engine.cuda.cudnn;
