"""The sandbox's web app: server-rendered pages on which a person does what people do in Tallyfy."""
