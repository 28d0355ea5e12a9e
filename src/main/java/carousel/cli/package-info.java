/** The command line. Nothing depends on it. */
package carousel.cli;
