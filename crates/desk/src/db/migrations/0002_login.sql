-- A login is the same in any case, on both engines (ASCII).
CREATE UNIQUE INDEX account_login ON account (lower(login));
