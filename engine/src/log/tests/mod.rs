mod append;
mod commit;
mod head;
mod read;
mod recovery;
mod tail;
mod transactions;
