-- The table of the articles, whose vectors have the length that the pipeline asks for. An index needs to know it.
CREATE EXTENSION IF NOT EXISTS vector;
CREATE TABLE IF NOT EXISTS articles (id text PRIMARY KEY, title text, embedding vector(256));
CREATE INDEX IF NOT EXISTS articles_embedding ON articles USING hnsw (embedding vector_cosine_ops);
