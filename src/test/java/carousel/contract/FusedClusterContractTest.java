package carousel.contract;

import carousel.tensor.Precision;
import org.junit.jupiter.api.Tag;

/** With the recurrent weights in the registers of a cluster of blocks. */
@Tag("gpu")
class FusedClusterContractTest extends FusedPathContract {
    FusedClusterContractTest() {
        super(Precision.FP32, "cluster");
    }
}
