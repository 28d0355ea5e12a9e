/**
 * Training and scoring on Apache Spark. Spark schedules, moves and retries; the engines compute. This room alone sees Spark, which is the
 * cluster's own and does not come with Carousel; nothing but the command line sees this room.
 *
 * <p>Spark sends functions and what they hold by Java's serialization, which nothing here reads or writes itself: what is sent are
 * arrays of numbers, and texts such as a model's specification as JSON.
 */
package carousel.spark;
