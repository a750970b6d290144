"""The five clients, behind one small interface (see `base`)."""

from .aiokafka_client import AioKafka
from .confluent import Confluent
from .java import Java
from .kafka_python import KafkaPython
from .kcat import Kcat

ALL = [Confluent(), KafkaPython(), AioKafka(), Kcat(), Java()]
