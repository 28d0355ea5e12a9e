package carousel.lesson;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import carousel.data.AddingProblem;
import carousel.engine.Engine;
import carousel.engine.Engines;
import carousel.optimizer.Optimizer;
import carousel.training.DivergenceException;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class GradientLessonTest {
    private static LessonReport run(String engineName, GradientLesson lesson, List<String> told) {
        try (Engine engine = Engines.open(engineName)) {
            LessonReport report = lesson.run(engine, (network, step, loss) -> told.add(network + " " + step));
            assertEquals(0, engine.memory().inUse());
            return report;
        }
    }

    @Test
    void anOpenForgetGateKeepsTheGradientThatThePlainNetworkLoses() {
        GradientLesson lesson = new GradientLesson(60, 8, 0, 1, 0.01, 6, 1);
        LessonReport report = run("reference", lesson, new ArrayList<>());
        double[] hidden = report.rnn().before().hidden();
        double[] cell = report.lstm().before().cell();
        assertTrue(hidden[60] < 0.1 * hidden[1], "RNN " + hidden[60] / hidden[1]);
        assertTrue(cell[60] > 0.5 * cell[1], "LSTM " + cell[60] / cell[1]);
        assertTrue(report.lstm().before().cellShare(60) > 0.5);
        assertNull(report.rnn().after());
        assertNull(report.lstm().after());
    }

    @Test
    void bothNetworksLearnWhenTheSequencesAreShort() {
        GradientLesson lesson = new GradientLesson(4, 8, 250, 16, 0.02, 1, 1);
        List<String> told = new ArrayList<>();
        LessonReport report = run("reference", lesson, told);
        assertTrue(report.rnn().error() < 0.05, "RNN " + report.rnn().error());
        assertTrue(report.lstm().error() < 0.05, "LSTM " + report.lstm().error());
        assertEquals(8 * (2 + 8 + 1) + 9, report.rnn().parameters());
        assertEquals(4 * 8 * (2 + 8 + 1) + 9, report.lstm().parameters());
        assertEquals(4, report.lstm().after().timeSteps());
        assertEquals("RNN 20", told.get(0));
        assertEquals("LSTM 250", told.get(told.size() - 1));
        assertEquals(26, told.size());
    }

    @ParameterizedTest
    @ValueSource(strings = {"reference", "vector"})
    void theSameSeedGivesTheSameNumbers(String engine) {
        GradientLesson lesson = new GradientLesson(6, 5, 10, 7, 0.02, 1, 42);
        LessonReport first = run(engine, lesson, new ArrayList<>());
        LessonReport second = run(engine, lesson, new ArrayList<>());
        assertEquals(first.rnn().error(), second.rnn().error());
        assertEquals(first.lstm().error(), second.lstm().error());
        assertArrayEquals(first.rnn().after().hidden(), second.rnn().after().hidden());
        assertArrayEquals(first.lstm().after().cell(), second.lstm().after().cell());
    }

    @Test
    void enginesAgreeOnTheUntrainedNetworks() {
        GradientLesson lesson = new GradientLesson(20, 6, 0, 1, 0.02, 1, 5);
        LessonReport expected = run("reference", lesson, new ArrayList<>());
        LessonReport got = run("vector", lesson, new ArrayList<>());
        for (int back = 0; back <= 20; back++) {
            assertEquals(
                    1, got.rnn().before().state(back) / expected.rnn().before().state(back), 1e-4);
            assertEquals(
                    1,
                    got.lstm().before().state(back) / expected.lstm().before().state(back),
                    1e-4);
        }
    }

    @Test
    void aPlainNetworkThatDivergesSaysAtWhichStep() {
        AddingProblem problem = new AddingProblem(4, 1);
        try (Engine engine = Engines.open("reference");
                RnnLearner learner = new RnnLearner(engine, 2, 3, Optimizer.sgd(1e300), 1)) {
            learner.train(problem.batches(2, 1).batch(0));
            DivergenceException thrown = assertThrows(
                    DivergenceException.class,
                    () -> learner.train(problem.batches(2, 1).batch(1)));
            assertEquals(2, thrown.step());
        }
    }

    @Test
    void valuesOutOfRangeAreRefusedWithTheRange() {
        refused("[2, 1000000] range but got 1", () -> new GradientLesson(1, 8, 1, 1, 0.01, 1, 1));
        refused("[1, 4096] range but got 0", () -> new GradientLesson(5, 0, 1, 1, 0.01, 1, 1));
        refused("but got -1", () -> new GradientLesson(5, 8, -1, 1, 0.01, 1, 1));
        refused("[1, 65536] range but got 0", () -> new GradientLesson(5, 8, 1, 0, 0.01, 1, 1));
        refused("(0, 1] range but got NaN", () -> new GradientLesson(5, 8, 1, 1, Double.NaN, 1, 1));
        refused("[-100, 100] range but got NaN", () -> new GradientLesson(5, 8, 1, 1, 0.01, Double.NaN, 1));
    }

    private static void refused(String words, Runnable making) {
        IllegalArgumentException thrown = assertThrows(IllegalArgumentException.class, making::run);
        assertTrue(thrown.getMessage().contains(words), thrown.getMessage());
    }
}
