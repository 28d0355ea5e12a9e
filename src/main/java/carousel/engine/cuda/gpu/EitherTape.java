package carousel.engine.cuda.gpu;

import carousel.engine.LstmSpec;
import carousel.engine.LstmTape;
import carousel.tensor.Scope;
import java.util.EnumMap;
import java.util.Map;
import java.util.function.Function;

/** What a forward pass of the {@link GpuEngine} leaves for the backward pass: the tape of whoever ran it, opened when it is needed first. */
final class EitherTape extends LstmTape {
    private final Map<Rival, LstmTape> tapes = new EnumMap<>(Rival.class);
    private final Function<Rival, LstmTape> opening;
    private Rival last;

    /** @param opening opens a tape of this one's sizes */
    EitherTape(LstmSpec spec, Scope scope, int timeSteps, int batchSize, Function<Rival, LstmTape> opening) {
        super(spec, scope, timeSteps, batchSize);
        this.opening = opening;
    }

    LstmTape of(Rival rival) {
        return tapes.computeIfAbsent(rival, opening);
    }

    /** Who ran the forward pass that is recorded. */
    Rival last() {
        return last;
    }

    void ranBy(Rival rival) {
        last = rival;
    }
}
