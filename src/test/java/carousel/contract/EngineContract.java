package carousel.contract;

import carousel.engine.Engine;
import carousel.fixture.AvailableEngines;

/**
 * The contract of {@link Engine}, against the reference engine. Each engine has one tiny subclass that names its
 * provider. Where the engine is unavailable the contract is skipped, with the reason, unless {@link
 * AvailableEngines#REQUIRED} names it.
 */
abstract class EngineContract extends ContractEngine
        implements LstmContract, OperationContract, SecondOrderContract, MisuseContract, MemoryContract {}
