package carousel.contract;

import carousel.engine.Engine;
import carousel.fixture.Tolerance;
import carousel.fixture.Workbench;
import java.util.function.BiFunction;

/** What the parts of the contract have in common. */
interface ContractPart {
    /** The engine under test. */
    Engine engine();

    /** Another engine of the same kind; the caller closes it. */
    Engine open();

    Tolerance tolerance();

    /** The outcome of any use of the engine under test. */
    default <R> R use(BiFunction<Engine, Workbench, R> use) {
        try (Workbench bench = new Workbench(engine())) {
            return use.apply(engine(), bench);
        }
    }

    /**
     * Does the same on the engine under test and on the reference engine and compares the outcomes.
     *
     * @param reduction products and sums behind one number: see {@link Tolerance}
     */
    default void sameAsReference(String what, double reduction, BiFunction<Engine, Workbench, double[][]> use) {
        double[][] expected = ReferenceResults.of(use);
        double[][] actual = use(use);
        for (int k = 0; k < expected.length; k++) {
            tolerance().check(what + ", result " + k, expected[k], actual[k], reduction);
        }
    }
}
