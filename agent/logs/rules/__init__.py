"""Rules `[[logs]]`: when their logs are due and what is kept of them, for the engine of agent.logs.rotate."""
