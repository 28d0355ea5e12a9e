package carousel.engine.cuda.gpu;

import carousel.engine.EngineOptions;
import carousel.engine.LstmInput;
import carousel.engine.LstmInputGradient;
import carousel.engine.LstmOutput;
import carousel.engine.LstmSpec;
import carousel.engine.LstmTape;
import carousel.engine.RandomKey;
import carousel.engine.Shapes;
import carousel.engine.cuda.Attempts;
import carousel.engine.cuda.ChoiceMemory;
import carousel.engine.cuda.CudaEngine;
import carousel.engine.cuda.CudaProbe;
import carousel.engine.cuda.Rehearsal;
import carousel.engine.cuda.Release;
import carousel.engine.cuda.Sizes;
import carousel.engine.cuda.cudnn.CudnnEngineProvider;
import carousel.engine.cuda.fused.FusedEngineProvider;
import carousel.tensor.Precision;
import carousel.tensor.Scope;
import carousel.tensor.Tensor;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;

/**
 * Each LSTM by the engine that is the faster one for it, {@code cudnn} or {@code fused}; both work on this one's device and tensors. Who
 * runs a call is settled by {@link RivalChoice}.
 */
final class GpuEngine extends CudaEngine {
    private final CudaEngine fused;
    private final CudaEngine cudnn;
    private final RivalChoice choice;

    /** @param pinned who runs all that it computes; nothing for the faster one of each shape */
    GpuEngine(EngineOptions options, Precision precision, Optional<Rival> pinned) {
        this(options, precision, pinned, null);
    }

    /** @param trial instead of measuring; null to measure */
    GpuEngine(
            EngineOptions options,
            Precision precision,
            Optional<Rival> pinned,
            Attempts.Trial<RivalChoice.Shape, Rival> trial) {
        super(options, precision, precision.operands());
        try {
            fused = FusedEngineProvider.join(this);
            cudnn = CudnnEngineProvider.join(this);
            choice = new RivalChoice(pinned, precision, this::memoryOfRivals, trial == null ? Both::new : trial);
        } catch (RuntimeException | Error failure) {
            Release.after(failure, this::close);
            throw failure;
        }
    }

    private ChoiceMemory memoryOfRivals() {
        return ChoiceMemory.of("engines on " + context().machine() + ", " + CudnnEngineProvider.version() + ", "
                + FusedEngineProvider.version());
    }

    @Override
    public String name() {
        return GpuEngineProvider.NAME;
    }

    @Override
    protected String libraries() {
        return ", " + CudaProbe.cudnnVersion();
    }

    /** For each shape so far, a line that says who runs it and why; then what both say of their own choices. */
    @Override
    public List<String> notes() {
        List<String> notes = new ArrayList<>(choice.lines());
        notes.addAll(fused.notes());
        notes.addAll(cudnn.notes());
        return List.copyOf(notes);
    }

    /** It computes every specification. */
    @Override
    public Optional<String> refusal(LstmSpec spec) {
        return fused.refusal(spec);
    }

    private CudaEngine engine(Rival rival) {
        return rival == Rival.FUSED ? fused : cudnn;
    }

    @Override
    public LstmTape openTape(Scope scope, LstmSpec spec, int timeSteps, int batchSize) {
        return new EitherTape(
                spec, scope, timeSteps, batchSize, rival -> engine(rival).openTape(scope, spec, timeSteps, batchSize));
    }

    private Rival chosen(LstmSpec spec, LstmInput input, boolean training) {
        return choice.of(new RivalChoice.Shape(
                input.dropout() == null ? spec.withDropout(0) : spec,
                new Sizes(input.x().shape().extent(0), input.x().shape().extent(1)),
                isWhole(input),
                training,
                cudnn.refusal(spec).isEmpty()));
    }

    /** Lengths that are on the device are not looked at. */
    private static boolean isWhole(LstmInput input) {
        int timeSteps = input.x().shape().extent(0);
        return input.deviceLengths() == null
                && (input.lengths() == null || Arrays.stream(input.lengths()).allMatch(length -> length == timeSteps));
    }

    @Override
    public void lstmForward(LstmSpec spec, Tensor parameters, LstmInput input, LstmOutput output, LstmTape tape) {
        context().enter();
        Shapes.requireForward(spec, parameters, input, output, tape);
        Rival rival = chosen(spec, input, tape != null);
        if (tape == null) {
            engine(rival).lstmForward(spec, parameters, input, output, null);
            return;
        }
        EitherTape either = (EitherTape) tape;
        engine(rival).lstmForward(spec, parameters, input, output, either.of(rival));
        either.ranBy(rival);
        tape.record(parameters, input, output);
    }

    @Override
    public void lstmBackward(
            LstmTape tape, LstmOutput outputGradient, Tensor parameterGradients, LstmInputGradient inputGradient) {
        context().enter();
        Shapes.requireBackward(tape, outputGradient, parameterGradients, inputGradient);
        tape.consume();
        EitherTape either = (EitherTape) tape;
        engine(either.last()).lstmBackward(either.of(either.last()), outputGradient, parameterGradients, inputGradient);
    }

    @Override
    protected void releaseMore() {
        Release release = new Release();
        if (cudnn != null) {
            release.of(cudnn::close);
        }
        if (fused != null) {
            release.of(fused::close);
        }
        release.finish();
    }

    /** Both tried on a stack. */
    private final class Both extends Rehearsal<Rival> {
        private final boolean training;

        Both(RivalChoice.Shape shape) {
            super(GpuEngine.this, Rival.FUSED, shape.spec(), shape.sizes(), shape.whole());
            this.training = shape.training();
        }

        /** While both are tried there is little memory for what each tries itself. */
        @Override
        public boolean poor() {
            return fused.forgetPoorChoices() | cudnn.forgetPoorChoices();
        }

        @Override
        protected Pass open(Rival rival, Scope room) {
            CudaEngine engine = engine(rival);
            LstmSpec spec = spec();
            LstmTape tape = training ? engine.openTape(room, spec, sizes().timeSteps(), sizes().batchSize()) : null;
            LstmInput input = spec.dropout() > 0 ? input().withDropout(new RandomKey(1, 2, 3)) : input();
            return ofStack(
                    room,
                    output -> engine.lstmForward(spec, parameters(), input, output, tape),
                    tape == null
                            ? null
                            : (gradients, inputGradient) ->
                                    engine.lstmBackward(tape, gradient(), gradients, inputGradient));
        }
    }
}
