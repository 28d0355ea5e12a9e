package carousel.contract;

import carousel.tensor.Precision;
import org.junit.jupiter.api.Tag;

/** With the recurrent weights in the registers of a block. */
@Tag("gpu")
class FusedResidentContractTest extends FusedPathContract {
    FusedResidentContractTest() {
        super(Precision.FP32, "resident");
    }
}
