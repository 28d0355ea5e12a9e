/** The loop: batches through a model and back, callbacks, metrics, and checkpoints from which a run goes on exactly. */
package carousel.training;
