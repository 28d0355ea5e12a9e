/** What every engine must do, checked against the reference engine. */
package carousel.contract;
