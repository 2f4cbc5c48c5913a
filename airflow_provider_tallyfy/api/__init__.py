"""What Tallyfy is and says: calls, answers, errors and procedures, without network and clock."""
