/** Event files, which TensorBoard shows: scalars, text and pictures over the steps of a run. */
package carousel.format.tensorboard;
