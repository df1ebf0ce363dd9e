mod append;
mod commit;
mod gaps;
mod head;
mod read;
mod recovery;
mod tail;
mod transactions;
