package carousel.contract;

import carousel.tensor.Precision;
import org.junit.jupiter.api.Tag;

/** With the recurrent weights in the registers of a cluster of blocks, and products of bfloat16. */
@Tag("gpu")
class FusedClusterBfloatContractTest extends FusedPathContract {
    FusedClusterBfloatContractTest() {
        super(Precision.BF16, "cluster");
    }
}
