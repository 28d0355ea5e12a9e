/**
 * Keras' model files in and out: {@code .keras} of Keras 3, a ZIP archive of JSON and HDF5, and the {@code .h5} files of Keras 1
 * and 2. HDF5 itself is read and written with jHDF.
 */
package carousel.format.keras;
