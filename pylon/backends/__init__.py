"""Who answers: engines behind one port, found, supervised and chosen from."""
