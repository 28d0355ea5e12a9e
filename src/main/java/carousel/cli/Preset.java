package carousel.cli;

/** The tutorial's two recipes. */
enum Preset {
    /** BasicLSTMCell(128) with forget bias 1, a standard normal output layer, plain SGD. */
    TENSORFLOW,
    /** LSTM(128), Dense(10), Adam, validation each epoch. */
    KERAS;

    boolean is(String name) {
        return name().equalsIgnoreCase(name);
    }
}
