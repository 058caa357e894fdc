-- zdmig:allow row-security because "the policies are tried"
CREATE POLICY mine ON t FOR SELECT USING (owner = current_user);
ALTER TABLE t ENABLE ROW LEVEL SECURITY;
