package carousel.layer;

import carousel.engine.Engine;
import carousel.engine.LstmState;
import carousel.tensor.Scope;
import carousel.tensor.Shape;
import carousel.tensor.Tensor;
import java.util.Arrays;

/**
 * A model that answers many clients at once, step by step or in chunks, and remembers for each where its sequence stands: the
 * numbers are those of one long run over all that a client has sent.
 *
 * <pre>{@code
 * try (LstmSession session = new LstmSession(model, 1_000)) {
 *     float[] answer = session.run(new int[] {17}, 1, features);
 *     LstmSession.Snapshot snapshot = session.snapshot(17);
 *     session.reset(17);
 *     session.restore(17, snapshot);
 * }
 * }</pre>
 *
 * Clients are numbered from 0. The model must read forward only and have no encoder: {@link GreedyDecoder} is for those. Not for use by several threads at once, like the engine.
 */
public final class LstmSession implements AutoCloseable {
    private final Model model;
    private final Engine engine;
    private final Scope scope;
    /** The state of all clients. */
    private final ModelState bank;
    /** The number of the last call that each client was named in. */
    private final long[] lastCalls;

    private long call;

    /**
     * Where one client's sequence stands.
     *
     * @param values {@code h [S, P]} and then {@code c [S, H]} for each LSTM layer, {@code S} being the layers of the stack
     */
    public record Snapshot(double[] values) {
        public Snapshot {
            values = values.clone();
        }

        @Override
        public double[] values() {
            return values.clone();
        }

        @Override
        public boolean equals(Object other) {
            return other instanceof Snapshot that && Arrays.equals(values, that.values);
        }

        @Override
        public int hashCode() {
            return Arrays.hashCode(values);
        }

        @Override
        public String toString() {
            return "snapshot of " + values.length + " numbers";
        }
    }

    /**
     * Allocates the state of so many clients on the model's engine, all at the beginning of their sequences. Close it before the
     * model.
     *
     * @throws IllegalArgumentException when the number is less than 1, or the model reads from the end of its sequences or has an
     *     encoder
     */
    public LstmSession(Model model, int clients) {
        if (model.spec().encoder() != null) {
            throw new IllegalArgumentException("a session answers clients whose sequences go on but the model is "
                    + model.spec() + ": take a GreedyDecoder");
        }
        this.model = model;
        this.engine = model.engine();
        this.scope = engine.openScope("session");
        try {
            this.bank = new ModelState(model, scope, clients);
            this.lastCalls = new long[clients];
        } catch (RuntimeException e) {
            scope.close();
            throw e;
        }
    }

    /** How many clients there are. */
    public int clients() {
        return bank.batchSize();
    }

    /**
     * Takes the next steps of some clients' sequences.
     *
     * @param clients {@code n} different numbers
     * @param timeSteps {@code T}, 1 or more, of each of them
     * @param x {@code [T, n, C]}, time-major
     * @return what the model puts out: {@code [T, n, K]}, or {@code [n, K]} of a model that answers once, after the last step
     */
    public float[] run(int[] clients, int timeSteps, float[] x) {
        require(Form.Kind.SEQUENCE);
        requireClients(clients);
        int features = model.spec().input().features();
        requireLength(x.length, timeSteps, clients.length, features);
        try (Scope step = engine.openScope("session step")) {
            Tensor input = step.allocate("x", timeSteps, clients.length, features);
            engine.write(input, x);
            return run(step, clients, input);
        }
    }

    /**
     * The same for a model that reads tokens.
     *
     * @param tokens {@code [T, n]}, time-major
     */
    public float[] run(int[] clients, int timeSteps, int[] tokens) {
        require(Form.Kind.TOKENS);
        requireClients(clients);
        requireLength(tokens.length, timeSteps, clients.length, 1);
        try (Scope step = engine.openScope("session step")) {
            Tensor input = step.allocateIntegers("tokens", timeSteps, clients.length);
            engine.write(input, tokens);
            return run(step, clients, input);
        }
    }

    private float[] run(Scope step, int[] clients, Tensor input) {
        boolean all = clients.length == clients() && isCountedUp(clients);
        ModelState state = all ? bank : new ModelState(model, step, clients.length);
        if (!all) {
            copy(bank, clients, state, null);
        }
        Tensor output = model.forward(Pass.inference(engine, step, input, null).carrying(state));
        float[] values = new float[Math.toIntExact(output.elements())];
        engine.read(output, values);
        // Only now: a call that fails leaves every client where it was.
        state.advance();
        if (!all) {
            copy(state, null, bank, clients);
        }
        return values;
    }

    private static boolean isCountedUp(int[] clients) {
        for (int k = 0; k < clients.length; k++) {
            if (clients[k] != k) {
                return false;
            }
        }
        return true;
    }

    /** Copies sequences between two states, in the order of the lists; null stands for 0, 1, 2, ... */
    private void copy(ModelState from, int[] sources, ModelState to, int[] targets) {
        int count = sources != null ? sources.length : targets.length;
        for (int layer : from.layers()) {
            LstmState source = from.before(layer);
            LstmState target = to.before(layer);
            for (int k = 0; k < count; k++) {
                int sourceRow = sources == null ? k : sources[k];
                int targetRow = targets == null ? k : targets[k];
                copyRow(source.h(), sourceRow, target.h(), targetRow);
                copyRow(source.c(), sourceRow, target.c(), targetRow);
            }
        }
    }

    /** Copies one sequence's part of {@code [S, N, W]}. */
    private void copyRow(Tensor source, int sourceRow, Tensor target, int targetRow) {
        int states = source.shape().extent(0);
        int width = source.shape().extent(2);
        for (int state = 0; state < states; state++) {
            engine.copyColumns(row(source, state, sourceRow), 0, row(target, state, targetRow), 0, width);
        }
    }

    private static Tensor row(Tensor states, int state, int sequence) {
        long sequences = states.shape().extent(1);
        int width = states.shape().extent(2);
        return states.view(states.name(), (state * sequences + sequence) * width, Shape.of(1, width));
    }

    /** Starts a client's sequence anew. */
    public void reset(int client) {
        requireClients(client);
        for (int layer : bank.layers()) {
            LstmState learned = model.learnedState(layer);
            if (learned != null) {
                copyRow(alone(learned.h()), 0, bank.before(layer).h(), client);
                copyRow(alone(learned.c()), 0, bank.before(layer).c(), client);
                continue;
            }
            for (Tensor part : parts(layer)) {
                for (int state = 0; state < part.shape().extent(0); state++) {
                    engine.fill(row(part, state, client), 0);
                }
            }
        }
    }

    /** {@code [S, W]} as the state of one sequence, {@code [S, 1, W]}. */
    private static Tensor alone(Tensor learned) {
        return learned.reshape(learned.shape().extent(0), 1, learned.shape().extent(1));
    }

    /** Starts every client's sequence anew. */
    public void resetAll() {
        bank.clear();
    }

    /** Where a client's sequence stands. */
    public Snapshot snapshot(int client) {
        requireClients(client);
        double[] values = new double[bank.elements() / clients()];
        int filled = 0;
        for (int layer : bank.layers()) {
            for (Tensor part : parts(layer)) {
                double[] row = new double[part.shape().extent(2)];
                for (int state = 0; state < part.shape().extent(0); state++) {
                    engine.read(row(part, state, client), row);
                    System.arraycopy(row, 0, values, filled, row.length);
                    filled += row.length;
                }
            }
        }
        return new Snapshot(values);
    }

    /**
     * Takes a client's sequence back, or another client's to here.
     *
     * @throws IllegalArgumentException when the snapshot is of a model with a state of another size
     */
    public void restore(int client, Snapshot snapshot) {
        requireClients(client);
        double[] values = snapshot.values;
        if (values.length != bank.elements() / clients()) {
            throw new IllegalArgumentException("a snapshot of this model should have " + bank.elements() / clients()
                    + " numbers but got " + values.length + ": restore it with the model it was taken of");
        }
        int read = 0;
        for (int layer : bank.layers()) {
            for (Tensor part : parts(layer)) {
                int width = part.shape().extent(2);
                for (int state = 0; state < part.shape().extent(0); state++) {
                    engine.write(row(part, state, client), Arrays.copyOfRange(values, read, read + width));
                    read += width;
                }
            }
        }
    }

    private Tensor[] parts(int layer) {
        LstmState state = bank.before(layer);
        return new Tensor[] {state.h(), state.c()};
    }

    private void require(Form.Kind kind) {
        if (model.spec().input().kind() != kind) {
            throw new IllegalArgumentException("the model reads " + model.spec().input() + " but got "
                    + (kind == Form.Kind.TOKENS ? "tokens" : "real numbers") + ": call the other method");
        }
    }

    private void requireClients(int... clients) {
        call++;
        for (int client : clients) {
            if (client < 0 || client >= clients()) {
                throw new IllegalArgumentException("the number of a client should be in the [0, " + (clients() - 1)
                        + "] range but got " + client + ": open the session for more clients");
            }
            if (lastCalls[client] == call) {
                throw new IllegalArgumentException(
                        "the clients of one call should differ but got " + client + " twice: make two calls of it");
            }
            lastCalls[client] = call;
        }
        if (clients.length == 0) {
            throw new IllegalArgumentException("a call should be for 1 or more clients but got none");
        }
    }

    private static void requireLength(int length, int timeSteps, int clients, int features) {
        if (timeSteps < 1 || length != (long) timeSteps * clients * features) {
            throw new IllegalArgumentException("the input of " + timeSteps + " steps of " + clients
                    + " clients should have " + (long) timeSteps * clients * features + " numbers, and 1 step or more,"
                    + " but got " + length);
        }
    }

    /** Gives the state's memory back. */
    @Override
    public void close() {
        scope.close();
    }
}
