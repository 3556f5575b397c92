"""What runs at this moment: workers, queues, runs and what needs a hand; for people and machines.

Everything is read when it is asked for, from the database and the broker, so that it is the same
whichever process answers.
"""
