package carousel.contract;

import carousel.tensor.Precision;
import org.junit.jupiter.api.Tag;

/** With the recurrent weights in the registers of a block, those of narrow inputs beside them, and products of bfloat16. */
@Tag("gpu")
class FusedResidentBfloatContractTest extends FusedPathContract {
    FusedResidentBfloatContractTest() {
        super(Precision.BF16, "resident-inputs");
    }
}
