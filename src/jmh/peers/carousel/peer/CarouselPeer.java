package carousel.peer;

import carousel.engine.Engine;
import carousel.engine.EngineOptions;
import carousel.engine.Engines;
import carousel.engine.Loss;
import carousel.engine.LstmInput;
import carousel.engine.LstmOutput;
import carousel.engine.LstmSpec;
import carousel.engine.LstmState;
import carousel.layer.Dense;
import carousel.layer.Form;
import carousel.layer.Layer;
import carousel.layer.Lstm;
import carousel.layer.Model;
import carousel.layer.ModelSpec;
import carousel.layer.Pass;
import carousel.optimizer.Optimizer;
import carousel.tensor.Scope;
import carousel.tensor.Shape;
import carousel.tensor.Tensor;
import java.util.ArrayList;
import java.util.List;
import peers.Data;
import peers.Peer;
import peers.Workload;

/** Carousel's own entry in a comparison of LSTM libraries, through the API that its users call: a model, a pass, an optimizer. */
public final class CarouselPeer implements Peer {
    private int threads;

    @Override
    public String name() {
        return "carousel";
    }

    @Override
    public void threads(int n) {
        threads = n;
    }

    @Override
    public Task open(Workload workload, Workload.Mode mode) {
        return new Net(workload, mode, threads).warm();
    }

    private static final class Net implements Task {
        /** How long a task runs before it is timed: the JVM compiles meanwhile. */
        private static final long WARM_UP = 3_000_000_000L;

        private final Workload workload;
        private final Workload.Mode mode;
        private final Engine engine;
        private final Model model;
        private final Scope scope;
        private final Tensor x;
        private final Tensor labels;
        private final Tensor dy;
        private final Tensor report;
        private final Optimizer.State optimizer;
        private final LstmSpec spec;
        private final LstmInput stream;
        private final LstmOutput streamed;
        private final float[] firstWeight = new float[1];
        private long step;
        private float[] check;

        Net(Workload w, Workload.Mode mode, int threads) {
            this.workload = w;
            this.mode = mode;
            engine = Engines.open("vector", EngineOptions.defaults().withThreads(threads));
            List<Layer> layers = new ArrayList<>();
            layers.add(Lstm.of(LstmSpec.of(w.i(), w.h()).withLayers(w.l())).withReturnSequences(w.classes() == 0));
            if (w.classes() > 0) {
                layers.add(Dense.of(w.classes()));
            }
            model = Model.empty(engine, ModelSpec.of(Form.sequence(w.i()), layers.toArray(Layer[]::new)));
            for (int k = 0; k < w.l(); k++) {
                set("lstm.weight_ih_l" + k, Data.wx(w, k));
                set("lstm.weight_hh_l" + k, Data.wh(w, k));
                set("lstm.bias_l" + k, Data.bias(w, k));
            }
            if (w.classes() > 0) {
                set("dense.weight", Data.head(w));
            }
            scope = engine.openScope("task");
            x = scope.allocate("x", w.t(), w.b(), w.i());
            engine.write(x, Data.x(w));
            labels = scope.allocateIntegers("labels", w.b());
            dy = w.classes() > 0
                    ? scope.allocate("output gradient", w.b(), w.classes())
                    : scope.allocate("output gradient", w.t(), w.b(), w.h());
            report = scope.allocate("report", 3);
            if (w.classes() > 0) {
                long[] wanted = Data.labels(w);
                int[] values = new int[wanted.length];
                for (int n = 0; n < values.length; n++) {
                    values[n] = (int) wanted[n];
                }
                engine.write(labels, values);
            } else {
                engine.write(dy, Data.dy(w));
            }
            spec = LstmSpec.of(w.i(), w.h()).withLayers(w.l());
            if (w.t() == 1) {
                stream = LstmInput.of(x).withInitial(state(w));
                streamed = new LstmOutput(scope.allocate("y", 1, w.b(), w.h()), state(w));
            } else {
                stream = null;
                streamed = null;
            }
            optimizer = mode == Workload.Mode.STEP
                    ? Optimizer.adam(0.001).open(engine, scope, model.parameters().elements())
                    : null;
        }

        private LstmState state(Workload w) {
            Tensor h = scope.allocate("h", w.l(), w.b(), w.h());
            Tensor c = scope.allocate("c", w.l(), w.b(), w.h());
            engine.fill(h, 0);
            engine.fill(c, 0);
            return new LstmState(h, c);
        }

        private Net warm() {
            long start = System.nanoTime();
            while (System.nanoTime() - start < WARM_UP) {
                run();
            }
            return this;
        }

        private void set(String name, float[] values) {
            model.views().stream()
                    .filter(view -> view.name().equals(name))
                    .forEach(view -> engine.write(view.in(model.parameters()), values));
        }

        @Override
        public void run() {
            try (Scope pass = engine.openScope("step")) {
                if (stream != null) {
                    // One step a call: who streams hands over the state, even where it is zero as here.
                    engine.lstmForward(spec, model.parameters(), stream, streamed, null);
                    return;
                }
                if (mode == Workload.Mode.INFER) {
                    model.forward(Pass.inference(engine, pass, x, null));
                    return;
                }
                if (mode == Workload.Mode.GRAD) {
                    // An optimizer would have changed the weights: they are packed anew.
                    Tensor one = model.parameters().view("first weight", 0, Shape.of(1));
                    engine.read(one, firstWeight);
                    engine.write(one, firstWeight);
                }
                Pass training = Pass.training(engine, pass, x, null, 1, step);
                Tensor y = model.forward(training);
                if (workload.classes() > 0) {
                    engine.loss(Loss.SOFTMAX_CROSS_ENTROPY, y, labels, null, report, dy);
                }
                model.clearGradients();
                model.backward(training, dy);
                if (optimizer != null) {
                    optimizer.step(model.parameters(), model.gradients(), step, 1);
                }
                step++;
            }
        }

        @Override
        public double check() {
            if (mode != Workload.Mode.INFER) {
                Tensor gradient = model.views().stream()
                        .filter(view -> view.name().equals("lstm.weight_hh_l0"))
                        .findFirst()
                        .orElseThrow()
                        .in(model.gradients());
                check = new float[(int) gradient.elements()];
                engine.read(gradient, check);
                return Data.meanAbs(check, 0, check.length);
            }
            // The LSTM alone, as the model's output may be the head's.
            Workload w = workload;
            ModelSpec spec = ModelSpec.of(
                    Form.sequence(w.i()),
                    Lstm.of(LstmSpec.of(w.i(), w.h()).withLayers(w.l())));
            try (Model lstm = Model.empty(engine, spec);
                    Scope pass = engine.openScope("check")) {
                for (int k = 0; k < w.l(); k++) {
                    copy(lstm, "lstm.weight_ih_l" + k, Data.wx(w, k));
                    copy(lstm, "lstm.weight_hh_l" + k, Data.wh(w, k));
                    copy(lstm, "lstm.bias_l" + k, Data.bias(w, k));
                }
                Tensor last = lstm.forward(Pass.inference(engine, pass, x, null));
                check = new float[(int) last.elements()];
                engine.read(last, check);
                return Data.meanAbs(check, 0, check.length);
            }
        }

        private void copy(Model lstm, String name, float[] values) {
            lstm.views().stream()
                    .filter(view -> view.name().equals(name))
                    .forEach(view -> engine.write(view.in(lstm.parameters()), values));
        }

        @Override
        public void close() {
            scope.close();
            model.close();
            engine.close();
        }
    }
}
