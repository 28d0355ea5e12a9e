/**
 * The first lesson about recurrent networks, measured: how a gradient fares on its way back through time in a plain network
 * and in an LSTM. For the command line and for readers; nothing is built on it.
 */
package carousel.lesson;
