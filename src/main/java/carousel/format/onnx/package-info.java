/** ONNX files in and out: graphs that run here, models read from them, models written as them. */
package carousel.format.onnx;
