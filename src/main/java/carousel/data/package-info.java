/**
 * Sequences to learn from and the batches they are fed in: IDX files such as MNIST, series and labelled sequences from CSV files, the digits that the program draws
 * itself, the adding problem, pairs of token sequences, shuffling and splitting. Host memory only. Everything random here is a pure function of a
 * seed and an index, so that the same run can be had again on any machine and continued at any batch.
 */
package carousel.data;
