package carousel.engine.cuda.cudnn;

import carousel.engine.cuda.Release;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.function.ToIntFunction;

/** What has been created and is to be destroyed, the last thing first. */
final class Descriptors implements AutoCloseable {
    private final Deque<Runnable> made = new ArrayDeque<>();

    /** Creates something of a kind that cuDNN names in {@code cudnnCreate} and {@code cudnnDestroy}. */
    <D> D make(String kind, D descriptor, ToIntFunction<D> create, ToIntFunction<D> destroy) {
        Dnn.check(create.applyAsInt(descriptor), "cudnnCreate" + kind, "this engine");
        made.push(() -> Dnn.check(destroy.applyAsInt(descriptor), "cudnnDestroy" + kind, "this engine"));
        return descriptor;
    }

    /** Takes over what is given back in another way. */
    void add(Runnable giveBack) {
        made.push(giveBack);
    }

    @Override
    public void close() {
        Release release = new Release();
        while (!made.isEmpty()) {
            release.of(made.pop());
        }
        release.finish();
    }
}
