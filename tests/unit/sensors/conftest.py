from tests.contract.sensors.conftest import _reschedule_without_a_database

__all__ = ["_reschedule_without_a_database"]
