/** Small programs that show how to do usual things with the library: each can be copied and run, and is run by a test. */
package carousel.examples;
