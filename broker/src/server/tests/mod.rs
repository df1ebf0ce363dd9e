mod bounds;
mod order;
mod stop;
mod toy;
