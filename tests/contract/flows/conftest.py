from tests.contract.operators.conftest import pauses

__all__ = ["pauses"]
