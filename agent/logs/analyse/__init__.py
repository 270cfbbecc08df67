"""What logs say, summed up: by severity, shape and hour; who asked for what; who failed to log in.

All is counted in memory that does not grow with the logs. What is read is cut into tasks that do not depend on the
number of processors, and their counts are joined in the order of the logs: whoever counts, the answer is the same.
"""
