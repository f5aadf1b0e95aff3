export async function call(){}; export async function listen(){}
