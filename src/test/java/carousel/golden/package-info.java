/** Numbers from outside: what other projects published, and what an independent program computed. */
package carousel.golden;
