-- Fed to a fresh cluster in single-user mode, so that the database exists before anybody can connect.
CREATE DATABASE payments;
