"""Several consumer processes on one host: started, watched, started again, replaced one by one.

They share nothing but Kafka and the stores; what is exact for processes on many hosts is exact for these.
"""
