"""The report and how it travels: the only room that agent and collector share."""
