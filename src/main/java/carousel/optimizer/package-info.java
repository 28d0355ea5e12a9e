/** How parameters follow their gradients: update rules with their moments, clipping, and learning rates over time. */
package carousel.optimizer;
