package carousel.examples;

import static org.junit.jupiter.api.Assertions.assertTrue;

import carousel.data.ForecastComparison;
import carousel.engine.Direction;
import org.junit.jupiter.api.Test;

/** The examples on less data than they are meant for: each beats what needs no model by far. */
class ExamplesTest {
    @Test
    void sequencesAreClassified() {
        double accuracy = Classification.testAccuracy("vector", 3_000, 4);
        assertTrue(accuracy > 0.85, "accuracy " + accuracy + ", where guessing has 0.1");
    }

    @Test
    void tagsNeedPastAndFuture() {
        double forward = Tagging.testAccuracy("vector", Direction.FORWARD, 2_000, 5);
        double both = Tagging.testAccuracy("vector", Direction.BIDIRECTIONAL, 2_000, 5);
        assertTrue(both > 0.97, "accuracy " + both);
        assertTrue(forward < 0.85, "accuracy " + forward + " without the future");
    }

    @Test
    void theTextIsLearned() {
        String text = LanguageModel.sentences(1_500, 1);
        double perplexity = LanguageModel.testPerplexity("vector", text, LanguageModel.sentences(150, 2), 3);
        assertTrue(perplexity < 2, "perplexity " + perplexity);
        assertTrue(LanguageModel.unigramPerplexity(text) > 10);
    }

    @Test
    void sumsAreAnsweredExactly() {
        double exact = Addition.exactMatch("vector", 2, 64, 1_600);
        assertTrue(exact >= 0.99, "exact match " + exact);
    }

    @Test
    void forecastsBeatNaiveOnes() throws Exception {
        ForecastComparison comparison = Forecasting.compare("vector", 30);
        assertTrue(comparison.skill() > 0.2, comparison.toString());
    }
}
